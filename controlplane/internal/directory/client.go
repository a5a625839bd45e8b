package directory

import (
	"cmp"
	"context"
	"crypto/tls"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ClientConfig says where Redis is.
type ClientConfig struct {
	// Addresses are "host:port": one server, or several nodes of one cluster.
	Addresses []string
	// Cluster is for a cluster that is reached by one address.
	Cluster            bool
	Username, Password string
	// TLS is nil for plain TCP.
	TLS *tls.Config
	// Timeout bounds each step of an operation: to dial, to write, to read, to
	// wait for a free connection. 0 takes 250 ms.
	Timeout time.Duration
}

// The library writes every failed dial to standard error. The failures reach the
// callers as errors, and outages are logged once, from what Watch tells.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

// Printf implements the library's logger.
func (silent) Printf(context.Context, string, ...any) {}

// defaultTimeout is ClientConfig.Timeout where it is not set.
const defaultTimeout = 250 * time.Millisecond

// NewClient returns a client that fails within a few hundred milliseconds where
// the library's defaults take seconds, because the callers' clients wait. It
// connects when first used. The caller closes it.
func NewClient(c ClientConfig) redis.UniversalClient {
	timeout := cmp.Or(c.Timeout, defaultTimeout)
	return redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs:                 c.Addresses,
		IsClusterMode:         c.Cluster,
		Username:              c.Username,
		Password:              c.Password,
		TLSConfig:             c.TLS,
		ClientName:            "switchboard-controlplane",
		MaxRetries:            1,
		DialTimeout:           timeout,
		DialerRetries:         1,
		DialerRetryTimeout:    10 * time.Millisecond,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		PoolTimeout:           timeout,
		ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	})
}
