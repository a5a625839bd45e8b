package netio

import "time"

// UfragStats count what arrived for one agent over UDP: the facts behind a
// verdict on why a session does not connect.
type UfragStats struct {
	// STUNRequests are connectivity checks that name the agent; STUNOther are
	// responses and indications from addresses bound to it.
	STUNRequests, STUNOther uint64
	// DTLSPackets and MediaPackets (SRTP and SRTCP) came from addresses bound
	// to the agent.
	DTLSPackets, MediaPackets uint64
	// Sent are datagrams that the agent sent; Messages is in how many pieces
	// the kernel was given them, fewer where they left in runs.
	Sent, Messages uint64
	// Held are checks kept by Hold; Dropped are datagrams that found the queue
	// full, the agent closed, grew too old while held, or came from one address
	// or SSRC too many, or were too much RTCP.
	Held, Dropped uint64
	// FirstArrival is when the first check came; zero if none did.
	FirstArrival time.Time
}

// Counters are the totals of a Mux over UDP since its start.
type Counters struct {
	// Received and Sent are datagrams; Messages as in UfragStats.
	Received, Sent, Messages uint64
	// STUNRequests are connectivity checks for known agents.
	STUNRequests uint64
	// UnknownUfrag are checks that name no agent of this worker: their session
	// lives elsewhere or has ended.
	UnknownUfrag uint64
	// UnknownAddress are datagrams from addresses that are bound to no agent.
	UnknownAddress uint64
	// Malformed are datagrams that are neither STUN, DTLS, SRTP nor SRTCP;
	// Oversized are those of packetSize and more.
	Malformed, Oversized uint64
	// Dropped as in UfragStats, of all agents.
	Dropped uint64
	// ReadErrors are failed calls on the sockets, WriteErrors datagrams that
	// could not be sent.
	ReadErrors, WriteErrors uint64
	// FirstArrival is when the first datagram came; zero if none did.
	FirstArrival time.Time
}

func (a *agent) stats() UfragStats {
	c := &a.counters
	return UfragStats{
		STUNRequests: c.stunRequests.Load(),
		STUNOther:    c.stunOther.Load(),
		DTLSPackets:  c.dtls.Load(),
		MediaPackets: c.media.Load(),
		Sent:         c.sent.Load(),
		Messages:     c.messages.Load(),
		Held:         c.held.Load(),
		Dropped:      c.dropped.Load(),
		FirstArrival: timeOf(c.firstArrival.Load()),
	}
}

// add counts an agent into the totals.
func (t *Counters) add(s UfragStats) {
	t.Sent += s.Sent
	t.Messages += s.Messages
	t.STUNRequests += s.STUNRequests
	t.Dropped += s.Dropped
}

// addSocket counts a socket into the totals.
func (t *Counters) addSocket(c *socketCounters) {
	t.Received += c.received.Load()
	t.UnknownUfrag += c.unknownUfrag.Load()
	t.UnknownAddress += c.unknownAddress.Load()
	t.Malformed += c.malformed.Load()
	t.Oversized += c.oversized.Load()
	t.ReadErrors += c.readErrors.Load()
	t.WriteErrors += c.writeErrors.Load()
	first := timeOf(c.firstArrival.Load())
	if !first.IsZero() && (t.FirstArrival.IsZero() || first.Before(t.FirstArrival)) {
		t.FirstArrival = first
	}
}

func timeOf(unixNano int64) time.Time {
	if unixNano == 0 {
		return time.Time{}
	}
	return time.Unix(0, unixNano)
}
