package netio

import (
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchReader takes up to batchSize datagrams per system call with
// recvmmsg(2). The batch readers of golang.org/x/net allocate two objects per
// datagram for its address; this one writes a netip.AddrPort.
type batchReader struct {
	raw syscall.RawConn
	// attempt is the callback for raw, made once so that read allocates nothing.
	attempt func(fd uintptr) (done bool)

	headers [batchSize]mmsghdr
	vectors [batchSize]unix.Iovec
	names   [batchSize]unix.RawSockaddrInet6

	n     int
	errno syscall.Errno
}

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

func newReader(conn *net.UDPConn) (reader, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	r := &batchReader{raw: raw}
	for i := range r.headers {
		h := &r.headers[i].header
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.vectors[i]
		h.SetIovlen(1)
	}
	r.attempt = r.receive
	return r, nil
}

// receive makes one system call; false asks to wait until the socket is readable.
func (r *batchReader) receive(fd uintptr) bool {
	for {
		n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&r.headers[0])), batchSize, 0, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		r.n, r.errno = int(n), errno
		return errno != syscall.EAGAIN
	}
}

// read needs a batch of batchSize packets.
func (r *batchReader) read(batch []*packet) (int, error) {
	for i, p := range batch[:batchSize] {
		r.vectors[i].Base = &p.data[0]
		r.vectors[i].SetLen(packetSize)
		r.headers[i].header.Namelen = unix.SizeofSockaddrInet6
	}
	if err := r.raw.Read(r.attempt); err != nil {
		return 0, err
	}
	if r.errno != 0 {
		return 0, r.errno
	}
	for i, p := range batch[:r.n] {
		p.n = int(r.headers[i].length)
		p.from = addrPortOf(&r.names[i])
	}
	return r.n, nil
}

// addrPortOf reads a socket address of either family; the port stands in
// network byte order.
func addrPortOf(name *unix.RawSockaddrInet6) netip.AddrPort {
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), networkPort(v4.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), networkPort(name.Port))
}
