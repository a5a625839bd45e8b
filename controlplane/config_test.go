package controlplane

import (
	"strings"
	"testing"
)

func valid() Config {
	c := Default()
	c.Listen = "127.0.0.1:0"
	c.Apps = []AppConfig{{ID: "demo", Secrets: []string{"a secret"}}}
	return c
}

func TestValidate(t *testing.T) {
	if err := valid().Validate(); err != nil {
		t.Errorf("the defaults with one App: %v", err)
	}
	tests := map[string]struct {
		change func(*Config)
		want   string // in the error
	}{
		"no address":       {func(c *Config) { c.Listen = "8080" }, "listen"},
		"bad port":         {func(c *Config) { c.Listen = ":http" }, "listen"},
		"no Apps":          {func(c *Config) { c.Apps = nil }, "apps"},
		"bad App id":       {func(c *Config) { c.Apps[0].ID = "a b" }, "apps"},
		"no secret":        {func(c *Config) { c.Apps[0].Secrets = nil }, "apps"},
		"unknown policy":   {func(c *Config) { c.Placement = "random" }, "placement"},
		"origin with path": {func(c *Config) { c.CORSOrigins = []string{"https://a.example/x"} }, "corsOrigins"},
		"no scheme":        {func(c *Config) { c.CORSOrigins = []string{"a.example"} }, "corsOrigins"},
		"negative time":    {func(c *Config) { c.ShutdownTimeout = -1 }, "shutdownTimeout"},
		"no NATS":          {func(c *Config) { c.NATS.URL = "" }, "nats.url"},
		"half a NATS key":  {func(c *Config) { c.NATS.Cert = "x" }, "nats.cert"},
		"no Redis":         {func(c *Config) { c.Redis.Addresses = nil }, "redis.addresses"},
		"bad Redis":        {func(c *Config) { c.Redis.Addresses = []string{"localhost"} }, "redis.addresses"},
		"half a Redis key": {func(c *Config) { c.Redis.TLS, c.Redis.Key = true, "x" }, "redis.cert"},
		"CA without TLS":   {func(c *Config) { c.Redis.CA = "x" }, "redis.tls"},
	}
	for name, test := range tests {
		c := valid()
		test.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one that names %s", name, err, test.want)
		}
	}
	c := valid()
	c.CORSOrigins = []string{"*", "https://a.example", "http://localhost:3000"}
	if err := c.Validate(); err != nil {
		t.Errorf("good origins: %v", err)
	}
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	c := valid()
	c.Apps = append(c.Apps, AppConfig{ID: "demo", Secrets: []string{"sha256:hush", "hush", "hush"}})
	if err := c.Validate(); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("error %v", err)
	}
}
