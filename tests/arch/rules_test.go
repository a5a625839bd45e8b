package arch

// Budgets of size. Generated files are exempt.
const (
	maxFileLines     = 400
	maxFunctionLines = 80 // aim at 60
	maxStructFields  = 20 // aim at 15
)

// pure lists the packages without clock, socket, goroutine or logger: time and
// chance are arguments of their functions.
var pure = []string{
	"controlplane/internal/placement",
	"mediaworker/internal/alloc",
	"mediaworker/internal/bwe",
	"mediaworker/internal/keyframe",
	"mediaworker/internal/layer",
	"mediaworker/internal/munge",
	"mediaworker/internal/nack",
	"mediaworker/internal/packet",
	"mediaworker/internal/rtpcache",
	"shared/sdpx",
}

// perPacket lists the packages whose code runs for every packet, beside the
// pure ones: they count, and never log.
var perPacket = []string{
	"mediaworker/internal/forward",
	"mediaworker/internal/netio",
}

// notInPure are the imports that pure packages do without.
var notInPure = []string{
	"context", "io/ioutil", "log", "log/slog", "math/rand", "math/rand/v2",
	"net", "net/http", "os", "os/signal", "syscall",
}

// notUsedInPure are names that pure packages do without: the clock, and
// whatever makes goroutines wait for each other. sync.Pool is neither.
var notUsedInPure = map[string][]string{
	"sync": {"Cond", "Mutex", "RWMutex", "WaitGroup"},
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
}

// arrow says what a part of the tree may import of the module itself.
type arrow struct {
	from []string
	to   []string
	why  string
}

// arrows are tried in order; the first whose from holds a file's folder counts.
// A package may always import itself (from its external tests) and what is
// below it.
var arrows = []arrow{
	{[]string{"tests", "deployments"}, []string{"controlplane", "mediaworker", "shared", "api-spec", "deployments", "tests"},
		"only tests and deployments put the tiers together"},

	{[]string{"api-spec"}, []string{"shared", "api-spec"}, "the specification stands below both tiers"},
	{[]string{"shared"}, []string{"shared", "api-spec"}, "shared stands below both tiers"},

	{pureOf("controlplane"), []string{"shared"}, "placement decides from values alone"},
	{[]string{"controlplane/internal/directory", "controlplane/internal/dispatch"},
		[]string{"shared", "controlplane/internal/placement"}, "adapters know nothing of the calls that use them"},
	{[]string{"controlplane/internal/calls"},
		[]string{"shared", "controlplane/internal/placement", "controlplane/internal/directory", "controlplane/internal/dispatch"},
		"use cases know nothing of HTTP"},
	{[]string{"controlplane/internal/httpapi"}, []string{"shared", "api-spec", "controlplane/internal/calls", "controlplane/internal/httpapi"},
		"the HTTP edge reaches everything through calls"},
	{[]string{"controlplane"}, []string{"shared", "api-spec", "controlplane"}, "a tier never imports the other"},

	{pureOf("mediaworker"), append([]string{"shared"}, pureOf("mediaworker")...), "pure packages stand at the bottom"},
	{[]string{"mediaworker/internal/netio"}, append([]string{"shared"}, pureOf("mediaworker")...), "sockets know nothing of sessions"},
	{[]string{"mediaworker/internal/forward"},
		append([]string{"shared", "mediaworker/internal/netio"}, pureOf("mediaworker")...), "forwarding knows nothing of negotiation"},
	{[]string{"mediaworker/internal/switchboard", "mediaworker/internal/peer"},
		append([]string{"shared", "mediaworker/internal/netio", "mediaworker/internal/forward"}, pureOf("mediaworker")...),
		"peers and the switchboard know nothing of sessions and commands"},
	{[]string{"mediaworker/internal/session"},
		append([]string{"shared", "mediaworker/internal/switchboard", "mediaworker/internal/peer", "mediaworker/internal/netio",
			"mediaworker/internal/forward"}, pureOf("mediaworker")...),
		"sessions know nothing of NATS"},
	{[]string{"mediaworker"}, []string{"shared", "api-spec", "mediaworker"}, "a tier never imports the other"},
}

// pureOf lists the pure packages of one tier.
func pureOf(tier string) []string {
	var list []string
	for _, p := range pure {
		if within(p, tier) {
			list = append(list, p)
		}
	}
	return list
}

// library says where a library may be imported, tests aside.
type library struct {
	prefix string
	only   []string
	why    string
}

var libraries = []library{
	{"github.com/pion/webrtc/v4", []string{"mediaworker/internal/peer", "tests"},
		"peer is the only package that knows pion's PeerConnection"},
	{"github.com/labstack/echo/v4", []string{"controlplane/internal/httpapi"},
		"echo stays at the HTTP edge"},
	{"github.com/nats-io/nats.go", []string{
		"controlplane/internal/dispatch", "controlplane/internal/events", "mediaworker/internal/command", "mediaworker/internal/report",
		"shared/natsconn", "shared/testkit", "shared/standin", "controlplane/*", "controlplane/cmd", "mediaworker/*", "mediaworker/cmd", "deployments", "tests"},
		"NATS stays in the packages that speak to the other tier, and in wiring"},
	{"github.com/nats-io/nats-server/v2", []string{"shared/standin", "deployments", "tests"},
		"the embedded server is for development and tests"},
	{"github.com/alicebob/miniredis/v2", []string{"shared/standin"},
		"the Redis stand-in is for development and tests"},
	{"github.com/redis/go-redis/v9", []string{
		"controlplane/internal/directory", "controlplane/*", "controlplane/cmd", "shared/testkit", "shared/standin", "deployments", "tests"},
		"only the control plane's directory speaks to Redis"},
	{"github.com/alecthomas/kong", []string{"deployments"},
		"the tiers take their settings through shared/config"},
}

// unfinished are words that mark work left undone; they belong into a commit
// that finishes it.
var unfinished = []string{"TO" + "DO", "FIX" + "ME", "XX" + "X:", "HACK" + ":"}
