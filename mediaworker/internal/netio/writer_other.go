//go:build !linux

package netio

import "net"

func newWriter(conn *net.UDPConn) (writer, error) { return singleWriter{conn}, nil }
