//go:build !unix

package report

import "time"

// processTime returns 0: this system does not tell.
func processTime() time.Duration { return 0 }
