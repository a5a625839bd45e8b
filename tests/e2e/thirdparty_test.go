package e2e_test

import (
	"testing"

	"switchboard/tests/e2e/rtcclient"
)

// Sessions that talk to another server, which speaks ICE-lite: ours is then the
// one that checks.
func TestThirdParty(t *testing.T) {
	t.Parallel()
	t.Run("the server offers", func(t *testing.T) {
		t.Parallel()
		onBoth(t, func(t *testing.T, h harness) {
			mic := h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio})
			user := h.publish(mic)
			voice := h.source(rtcclient.SourceConfig{Name: "voice", Kind: rtcclient.Audio})
			agent := h.join(rtcclient.Options{ThirdParty: true})
			_, err := agent.PushAsked(h.ctx, voice, true)
			h.ok(err)
			heard, err := user.Pull(h.ctx, agent.Published(voice)...) // before the agent is connected
			h.ok(err)
			h.flows(voice, heard[0], 20)
			in, err := agent.PullInto(h.ctx, "voice", user.Published(mic)[0])
			h.ok(err)
			h.flows(mic, in, 20)
		})
	})
	t.Run("the other server offers", func(t *testing.T) {
		t.Parallel()
		h := use(t, here(t))
		sources := h.sources()
		agent := h.join(rtcclient.Options{ThirdParty: true})
		h.ok(agent.Push(h.ctx, sources...))
		user, inbounds := h.subscribe(agent, sources...)
		h.allFlow(sources, inbounds, 20)
		mic := h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio})
		h.ok(user.Push(h.ctx, mic))
		back, err := agent.Pull(h.ctx, user.Published(mic)...)
		h.ok(err)
		h.flows(mic, back[0], 20)
	})
	t.Run("it only receives", func(t *testing.T) {
		t.Parallel()
		h := use(t, here(t))
		sources := h.sources()
		p := h.publish(sources...)
		agent := h.join(rtcclient.Options{ThirdParty: true})
		inbounds, err := agent.Pull(h.ctx, p.Published(sources...)...)
		h.ok(err)
		h.allFlow(sources, inbounds, 20)
	})
}
