// Package unknown is in no arrow.
package unknown

import "switchboard/shared/wire"

// Operations is documented.
var Operations = wire.Operations
