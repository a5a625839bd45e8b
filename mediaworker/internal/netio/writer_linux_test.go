package netio

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func init() {
	writerKinds["batch"] = func(_ testing.TB, s *socket) { s.writer.(*batchWriter).segments = false }
	writerKinds["runs"] = func(t testing.TB, s *socket) {
		if !s.writer.(*batchWriter).segments {
			t.Fatal("the tests need a kernel that knows UDP_SEGMENT: Linux 4.18 or newer")
		}
	}
}

// kernel answers system calls as told, and remembers what it was given.
type kernel struct {
	t *testing.T
	// answers are for one call each: how many messages are taken, or why none
	// is; after the last everything is taken.
	answers []any
	got     []string
}

func (k *kernel) sendmmsg(_ uintptr, messages []mmsghdr) (int, syscall.Errno) {
	call := ""
	for i, m := range messages {
		if i > 0 {
			call += " "
		}
		call += fmt.Sprint(m.header.Iov.Len)
		if m.header.Control != nil {
			call += "/" + fmt.Sprint((*segmentSize)(unsafe.Pointer(m.header.Control)).size)
		}
	}
	k.got = append(k.got, call)
	if len(k.answers) == 0 {
		return len(messages), 0
	}
	answer := k.answers[0]
	k.answers = k.answers[1:]
	if errno, ok := answer.(syscall.Errno); ok {
		return -1, errno
	}
	return answer.(int), 0
}

// What is done with the kernel's answers. Calls are listed as the sizes of their
// messages, and after a slash of the datagrams they are cut into.
func TestBatchWriterFollowsTheKernel(t *testing.T) {
	cases := map[string]struct {
		sizes   []int
		answers []any
		calls   []string
		want    batchResult
	}{
		"all":          {[]int{9, 9, 9}, nil, []string{"27/9"}, batchResult{messages: 1}},
		"some":         {[]int{1, 2, 3}, []any{1, 1}, []string{"1 2 3", "2 3", "3"}, batchResult{messages: 3}},
		"interrupted":  {[]int{9, 9}, []any{unix.EINTR}, []string{"18/9", "18/9"}, batchResult{messages: 1}},
		"buffer full":  {[]int{1, 2}, []any{1, unix.EAGAIN}, []string{"1 2", "2", "2"}, batchResult{messages: 2}},
		"no memory":    {[]int{1, 2, 3}, []any{1, unix.ENOBUFS}, []string{"1 2 3", "2 3", "3"}, batchResult{messages: 2, lost: 1}},
		"run lost":     {[]int{9, 9, 5, 8}, []any{unix.ENOBUFS}, []string{"23/9 8", "8"}, batchResult{messages: 1, lost: 3}},
		"no way":       {[]int{9, 10}, []any{unix.EPERM, unix.EPERM}, []string{"9 10", "10"}, batchResult{lost: 2}},
		"runs refused": {[]int{9, 9, 5, 8}, []any{unix.EINVAL}, []string{"23/9 8", "9 9 5 8"}, batchResult{messages: 4, refused: true}},
		"second run refused": {
			[]int{9, 9, 10, 10}, []any{1, unix.EIO}, []string{"18/9 20/10", "20/10", "10 10"},
			batchResult{messages: 3, refused: true},
		},
		"one too large": {
			[]int{9, 9, 5}, []any{unix.EMSGSIZE, unix.EMSGSIZE, 1, unix.EMSGSIZE}, []string{"23/9", "9 9 5", "9 5", "5"},
			batchResult{messages: 1, lost: 2, refused: true},
		},
		"lone datagram invalid": {[]int{9}, []any{unix.EINVAL}, []string{"9"}, batchResult{lost: 1}},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			w := *listen(t, Config{}).sockets[0].writer.(*batchWriter)
			k := &kernel{t: t, answers: tt.answers}
			w.sendmmsg, w.segments = k.sendmmsg, true
			b := &batch{to: netip.MustParseAddrPort("127.0.0.1:9")}
			for i, size := range tt.sizes {
				b.add(rtpOf(max(size, 4), i)[:size])
			}
			if got := w.writeBatch(b, true); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if !slices.Equal(k.got, tt.calls) {
				t.Errorf("calls %q, want %q", k.got, tt.calls)
			}
		})
	}
}

func TestLoneWriteReportsItsError(t *testing.T) {
	m := listen(t, Config{})
	h := getConn(t, m, "alice")
	k := &kernel{t: t, answers: []any{unix.EPERM}}
	m.sockets[0].writer.(*batchWriter).sendmmsg = k.sendmmsg
	to := netip.MustParseAddrPort("127.0.0.1:9")
	if n, err := h.WriteToAddrPort(rtpOf(100, 0), to); n != 0 || err == nil || err.Error() != "sendmmsg: operation not permitted" {
		t.Errorf("wrote %d, %v", n, err)
	}
	if n, err := h.WriteToAddrPort(nil, to); n != 0 || err != nil { // an empty datagram is one
		t.Errorf("wrote %d, %v", n, err)
	}
	if c := m.Counters(); c.Sent != 1 || c.WriteErrors != 1 || len(k.got) != 2 {
		t.Errorf("counters %+v, %d calls", c, len(k.got))
	}
}

// A socket without checksums cannot send runs: the kernel says so, and only the
// first burst is tried.
func TestRefusedRunsArriveAndAreRemembered(t *testing.T) {
	m, to := listen(t, Config{}), client(t)
	writerKinds["runs"](t, m.sockets[0])
	h, e := getConn(t, m, "alice"), m.Egress("alice")
	setNoChecksum(t, m.sockets[0].conn)
	calls := 0
	m.sockets[0].writer.(*batchWriter).sendmmsg = func(fd uintptr, messages []mmsghdr) (int, syscall.Errno) {
		calls++
		return sendmmsg(fd, messages)
	}
	for burst := range 3 {
		calls = 0
		e.Cork()
		for i := range 4 {
			write(t, h, rtpOf(700, i), addressOf(to))
		}
		if lost := e.Uncork(); lost != 0 {
			t.Errorf("%d lost", lost)
		}
		for i := range 4 {
			if got := receive(t, to); !slices.Equal(got, rtpOf(700, i)) {
				t.Errorf("datagram %d: %d bytes", i, len(got))
			}
		}
		if want := max(1, 2-burst); calls != want {
			t.Errorf("burst %d: %d calls, want %d", burst, calls, want)
		}
	}
	if e.plain != addressOf(to) {
		t.Errorf("refusal remembered for %v", e.plain)
	}
}

func setNoChecksum(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
			t.Fatal(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}
