package netio

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchWriter gives the kernel a batch in one sendmmsg(2), and in it each run of
// equal datagrams as one message that the kernel or the network card cuts up
// (UDP_SEGMENT, udp(7)): what a datagram costs is its way through the kernel,
// not the system call. Unlike net.UDPConn it takes no lock that writers share.
type batchWriter struct {
	raw      syscall.RawConn
	v6       bool
	segments bool // the kernel knows UDP_SEGMENT
	// sendmmsg is the system call, which tests replace.
	sendmmsg func(fd uintptr, messages []mmsghdr) (int, syscall.Errno)
}

func newWriter(conn *net.UDPConn) (writer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	w := &batchWriter{raw: raw, sendmmsg: sendmmsg}
	w.v6 = conn.LocalAddr().(*net.UDPAddr).IP.To4() == nil
	err = raw.Control(func(fd uintptr) {
		_, unknown := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		w.segments = unknown == nil
	})
	return w, err
}

func sendmmsg(fd uintptr, messages []mmsghdr) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd,
		uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

func (w *batchWriter) write(b []byte, to netip.AddrPort) (int, error) {
	t := transmissions.Get().(*transmission)
	defer t.recycle()
	if !t.address(to, w.v6) {
		return 0, &net.AddrError{Err: "not an address of the socket's family", Addr: to.String()}
	}
	t.clear()
	if len(b) > 0 {
		t.message(&b[0], len(b), 1, 0)
	} else {
		t.message(nil, 0, 1, 0)
	}
	if err := t.submit(w); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (w *batchWriter) writeBatch(b *batch, runs bool) batchResult {
	t := transmissions.Get().(*transmission)
	defer t.recycle()
	if !t.address(b.to, w.v6) {
		return batchResult{lost: b.count}
	}
	runs = runs && w.segments
	var r batchResult
	for sent := 0; sent < b.count; {
		t.lay(b, sent, runs)
		err := t.submit(w)
		for _, n := range t.runs[:t.next] {
			sent += n
		}
		r.messages += t.next
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			r.lost += b.count - sent
			return r
		case t.runs[t.next] > 1 && refusesRuns(err):
			r.refused, runs = true, false
		default:
			r.lost += t.runs[t.next]
			sent += t.runs[t.next]
		}
	}
	return r
}

// refusesRuns says whether a run may fail where its datagrams would not: they
// do not fit the path, or the way out of the machine cannot sum or cut them.
func refusesRuns(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EIO)
}

// transmission holds what the kernel is told about the messages of one call.
type transmission struct {
	headers [maxRun]mmsghdr
	vectors [maxRun]unix.Iovec
	sizes   [maxRun]segmentSize
	runs    [maxRun]int // datagrams per message
	name    unix.RawSockaddrInet6
	length  uint32 // of name

	next, count int // messages sent, and all
	errno       syscall.Errno
	waits       bool // the socket's buffer is full
	writer      *batchWriter
	// Callbacks for RawConn, made once so that sending allocates nothing.
	try     func(fd uintptr)
	attempt func(fd uintptr) (done bool)
}

// segmentSize is the control message with which one message becomes several
// datagrams; its size is CMSG_SPACE(sizeof(uint16)).
type segmentSize struct {
	header unix.Cmsghdr
	size   uint16
}

var transmissions = sync.Pool{New: func() any {
	t := new(transmission)
	for i := range t.headers {
		t.sizes[i].header = unix.Cmsghdr{Level: unix.SOL_UDP, Type: unix.UDP_SEGMENT}
		t.sizes[i].header.SetLen(unix.CmsgLen(2))
		h := &t.headers[i].header
		h.Name = (*byte)(unsafe.Pointer(&t.name))
		h.Iov = &t.vectors[i]
		h.SetIovlen(1)
	}
	t.attempt = t.transmit
	t.try = func(fd uintptr) { t.waits = !t.transmit(fd) }
	return t
}}

// recycle gives t back, without the caller's memory.
func (t *transmission) recycle() {
	t.clear()
	t.writer = nil
	transmissions.Put(t)
}

func (t *transmission) clear() {
	for i := range t.vectors[:t.count] {
		t.vectors[i].Base = nil
	}
	t.next, t.count = 0, 0
}

// address sets where the messages go; false if the socket cannot send there.
func (t *transmission) address(to netip.AddrPort, v6 bool) bool {
	if to.Addr().Is6() != v6 {
		return false
	}
	if v6 {
		t.name = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkPort(to.Port()), Addr: to.Addr().As16()}
		t.length = unix.SizeofSockaddrInet6
		return true
	}
	*(*unix.RawSockaddrInet4)(unsafe.Pointer(&t.name)) = unix.RawSockaddrInet4{
		Family: unix.AF_INET, Port: networkPort(to.Port()), Addr: to.Addr().As4(),
	}
	t.length = unix.SizeofSockaddrInet4
	return true
}

// lay makes the messages of a batch from datagram i on: a run is datagrams of
// one size, of which the last may be smaller.
func (t *transmission) lay(b *batch, i int, runs bool) {
	t.clear()
	for i < b.count {
		first, size := i, b.size(i)
		for i++; runs && i < b.count && b.size(i) <= size; i++ {
			if b.size(i) < size {
				i++
				break
			}
		}
		at := b.start(first)
		t.message(&b.data[at], b.ends[i-1]-at, i-first, size)
	}
}

// message adds a message of n datagrams of the given size.
func (t *transmission) message(data *byte, length, n, size int) {
	i := t.count
	t.count++
	t.runs[i] = n
	t.vectors[i].Base = data
	t.vectors[i].SetLen(length)
	h := &t.headers[i].header
	h.Namelen = t.length
	h.Control = nil
	h.SetControllen(0)
	if n > 1 {
		t.sizes[i].size = uint16(size)
		h.Control = (*byte)(unsafe.Pointer(&t.sizes[i]))
		h.SetControllen(int(unsafe.Sizeof(t.sizes[i])))
	}
}

// submit sends the messages. When it fails the message next is the cause, and
// it and those after it are not sent.
func (t *transmission) submit(w *batchWriter) error {
	t.writer = w
	if err := w.raw.Control(t.try); err != nil {
		return err
	}
	if t.waits {
		if err := w.raw.Write(t.attempt); err != nil {
			return err
		}
	}
	if t.errno != 0 {
		return os.NewSyscallError("sendmmsg", t.errno)
	}
	return nil
}

// transmit sends until all is sent or a message fails; false asks to wait until
// the socket is writable.
func (t *transmission) transmit(fd uintptr) bool {
	t.errno = 0
	for t.next < t.count {
		n, errno := t.writer.sendmmsg(fd, t.headers[t.next:t.count])
		switch errno {
		case 0:
			t.next += n
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			t.errno = errno
			return true
		}
	}
	return true
}

// networkPort turns a port number into network byte order, and back.
func networkPort(port uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], port)
	return binary.BigEndian.Uint16(b[:])
}
