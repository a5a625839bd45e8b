// Package config holds sample configuration files of the two tiers; its test
// loads them as the binaries do.
package config
