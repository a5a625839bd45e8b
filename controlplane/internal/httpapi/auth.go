package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/labstack/echo/v4"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
)

// App is one tenant and the secrets that authorise calls for it.
type App struct {
	ID ids.AppID
	// Secrets holds one or two, so that a secret can be replaced without a gap:
	// each in plain, or as "sha256:" and its hash in hexadecimal.
	Secrets []string
}

// Authenticator knows the hashes of the Apps' secrets; it keeps no secret. It
// is immutable and safe for concurrent use.
type Authenticator struct {
	apps map[ids.AppID][][sha256.Size]byte
}

const hashPrefix = "sha256:"

// NewAuthenticator checks the Apps and hashes their secrets. Its errors name
// the App and never a secret.
func NewAuthenticator(apps []App) (*Authenticator, error) {
	a := &Authenticator{apps: make(map[ids.AppID][][sha256.Size]byte, len(apps))}
	for _, app := range apps {
		if _, err := ids.ParseAppID(string(app.ID)); err != nil {
			return nil, fmt.Errorf("app %q: %w", app.ID, err)
		}
		if _, twice := a.apps[app.ID]; twice {
			return nil, fmt.Errorf("app %q: listed twice", app.ID)
		}
		if n := len(app.Secrets); n < 1 || n > 2 {
			return nil, fmt.Errorf("app %q: has %d secrets, want 1 or 2", app.ID, n)
		}
		for i, secret := range app.Secrets {
			hash, err := hashOf(secret)
			if err != nil {
				return nil, fmt.Errorf("app %q: secret %d: %w", app.ID, i+1, err)
			}
			a.apps[app.ID] = append(a.apps[app.ID], hash)
		}
	}
	return a, nil
}

func hashOf(secret string) (hash [sha256.Size]byte, err error) {
	text, hashed := strings.CutPrefix(secret, hashPrefix)
	switch {
	case secret == "":
		return hash, fmt.Errorf("is empty")
	case !hashed:
		return sha256.Sum256([]byte(secret)), nil
	case len(text) != hex.EncodedLen(sha256.Size):
		return hash, fmt.Errorf("has %d characters after %q, want %d", len(text), hashPrefix, hex.EncodedLen(sha256.Size))
	}
	if _, err := hex.Decode(hash[:], []byte(text)); err != nil {
		return hash, fmt.Errorf("is not hexadecimal after %q", hashPrefix)
	}
	return hash, nil
}

// Check returns nil when secret is one of the App's, else AppNotFound or
// Unauthorized. The time it takes does not depend on the secret.
func (a *Authenticator) Check(app ids.AppID, secret string) error {
	hashes, known := a.apps[app]
	if !known {
		return fault.AppNotFound.New("")
	}
	got, match := sha256.Sum256([]byte(secret)), 0
	for _, want := range hashes {
		match |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	if match != 1 {
		return fault.Unauthorized.New("")
	}
	return nil
}

// authenticate lets a request pass whose bearer token (RFC 6750 section 2.1) is
// a secret of the App in its path.
func (a *Authenticator) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := a.Check(ids.AppID(c.Param("appId")), bearer(c.Request().Header.Get("Authorization"))); err != nil {
			if fault.Unauthorized.Is(err) {
				c.Response().Header().Set("WWW-Authenticate", "Bearer")
			}
			return err
		}
		return next(c)
	}
}

// bearer returns the token of an Authorization header, or "".
func bearer(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
