//go:build !linux

package netio

import "net"

func newReader(conn *net.UDPConn) (reader, error) { return singleReader{conn}, nil }
