package standin

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startTimeout bounds the start of an embedded server; a few milliseconds are normal.
const startTimeout = 10 * time.Second

// NATSOptions says how the embedded server is reached.
type NATSOptions struct {
	// Listen is "" for in-process connections only (no socket at all), or
	// "host:port" to accept TCP clients too; port 0 means any free port.
	Listen string
}

// NATS is a running nats-server inside this process. Its methods are safe for
// concurrent use.
type NATS struct {
	server  *server.Server
	listens bool
}

// StartNATS starts a server and returns when it accepts connections. The
// caller closes it.
func StartNATS(opts NATSOptions) (*NATS, error) {
	o := &server.Options{
		ServerName: "switchboard-dev",
		DontListen: opts.Listen == "",
		NoLog:      true,
		NoSigs:     true,
	}
	if opts.Listen != "" {
		host, port, err := splitListen(opts.Listen)
		if err != nil {
			return nil, err
		}
		o.Host, o.Port = host, port
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("start nats-server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, fmt.Errorf("start nats-server: not ready within %s; is %q free?", startTimeout, opts.Listen)
	}
	return &NATS{server: s, listens: opts.Listen != ""}, nil
}

// Connect returns a new in-process connection named name. The caller closes
// it. A connection that the server drops is dialled again for ever, unless
// more says otherwise.
func (n *NATS) Connect(name string, more ...nats.Option) (*nats.Conn, error) {
	opts := append([]nats.Option{
		nats.Name(name),
		nats.InProcessServer(n.server),
		nats.MaxReconnects(-1),
	}, more...)
	conn, err := nats.Connect("", opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded nats-server: %w", err)
	}
	return conn, nil
}

// ClientURL returns the URL for TCP clients, or "" when the server accepts
// in-process connections only.
func (n *NATS) ClientURL() string {
	if !n.listens {
		return ""
	}
	return n.server.ClientURL()
}

// Close stops the server and waits until it has stopped. Closing twice does nothing.
func (n *NATS) Close() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}

func splitListen(listen string) (string, int, error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q: %w", listen, err)
	}
	port, err := strconv.Atoi(text)
	switch {
	case err != nil || port < 0 || port > 65535:
		return "", 0, fmt.Errorf("listen address %q: port must be 0 to 65535", listen)
	case host == "":
		return "", 0, errors.New("listen address needs a host, such as 127.0.0.1")
	case port == 0:
		port = server.RANDOM_PORT
	}
	return host, port, nil
}
