//go:build unix

package netio

import (
	"errors"
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// grantedBuffers reads the socket's buffer sizes.
func grantedBuffers(conn *net.UDPConn) (read, write int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	var readErr, writeErr error
	err = raw.Control(func(fd uintptr) {
		read, readErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		write, writeErr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	})
	if runtime.GOOS == "linux" {
		// Linux doubles the size for its own bookkeeping (socket(7)).
		read, write = read/2, write/2
	}
	return read, write, errors.Join(err, readErr, writeErr)
}
