package httpapi

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"switchboard/shared/fault"
)

// Limits bounds what one request may take. A zero field means its default.
type Limits struct {
	// Body is the largest body, bytes.
	Body int64
	// ReadHeader is the longest that a request's header may take to arrive.
	ReadHeader time.Duration
	// ReadBody is the longest that a body may take to arrive.
	ReadBody time.Duration
	// Write is the longest from the end of the header to the end of the
	// response; it exceeds the budget of the slowest call.
	Write time.Duration
	// Idle is how long an unused connection is kept.
	Idle time.Duration
}

// DefaultLimits returns the limits of the API.
func DefaultLimits() Limits {
	return Limits{
		Body:       1 << 20,
		ReadHeader: 5 * time.Second,
		ReadBody:   10 * time.Second,
		Write:      30 * time.Second,
		Idle:       2 * time.Minute,
	}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	if l.Body > 0 {
		d.Body = l.Body
	}
	for _, f := range []struct{ to, from *time.Duration }{
		{&d.ReadHeader, &l.ReadHeader}, {&d.ReadBody, &l.ReadBody}, {&d.Write, &l.Write}, {&d.Idle, &l.Idle},
	} {
		if *f.from > 0 {
			*f.to = *f.from
		}
	}
	return d
}

// maxHeader bounds a request's header, bytes.
const maxHeader = 64 << 10

// Server returns a server for h whose limits hold before h is called: a client
// that sends its header slowly, or nothing, is cut off. The caller serves and
// shuts it down.
func Server(h http.Handler, l Limits) *http.Server {
	l = l.orDefault()
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: l.ReadHeader,
		WriteTimeout:      l.Write,
		IdleTimeout:       l.Idle,
		MaxHeaderBytes:    maxHeader,
	}
}

// boundBody limits the size of the body and the time in which it must arrive.
// The time is a deadline on the connection, set here and lifted by the reader
// at the body's end, so that it does not run on while the call executes (a
// deadline that passes during the call would cancel it).
func boundBody(l Limits) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			if r.Body == nil || r.Body == http.NoBody {
				return next(c)
			}
			control := http.NewResponseController(c.Response().Writer)
			// ErrNotSupported: a writer without a connection, which has no slow reads.
			_ = control.SetReadDeadline(time.Now().Add(l.ReadBody))
			r.Body = &boundedBody{ReadCloser: http.MaxBytesReader(c.Response().Writer, r.Body, l.Body), control: control}
			return next(c)
		}
	}
}

type boundedBody struct {
	io.ReadCloser
	control *http.ResponseController
}

// Read implements io.Reader. At the end of the body it lifts the deadline; a
// body over the limit gives PayloadTooLarge.
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = fault.PayloadTooLarge.New("The body is over %d bytes.", tooLarge.Limit)
	}
	return n, err
}
