package command

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/micro"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

func TestLocateIsSilentUnlessHeld(t *testing.T) {
	f := start(t, nil)
	inbox := f.nc.NewRespInbox()
	replies, err := f.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	asked := []wire.SessionRef{{App: "other", Session: sid}, {App: "demo", Session: ids.NewSessionID()}, ref}
	for _, r := range asked { // in order of asking, so that the first reply tells
		body, _ := wire.Encode(wire.Locate{SessionRef: r})
		if err := f.nc.PublishRequest(wire.SubjectLocate, inbox, body); err != nil {
			t.Fatal(err)
		}
	}
	m, err := replies.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	var got wire.Located
	if err := wire.Decode(m.Data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wire.Located{SessionRef: ref, Worker: workerID, Rev: 7}, got); diff != "" {
		t.Errorf("located (-want +got):\n%s", diff)
	}
}

func TestControl(t *testing.T) {
	f := start(t, nil)
	for body, want := range map[string]string{"": "drain 0s", `{"deadlineMs":1500}`: "drain 1.5s"} {
		m, fail := f.send(t, wire.ControlSubject(workerID, "drain"), nil, []byte(body))
		var h wire.Heartbeat
		if err := wire.Decode(m.Data, &h); fail != nil || err != nil || h.Sessions != 3 {
			t.Errorf("drain answered %s", m.Data)
		}
		if told := <-f.told; told != want {
			t.Errorf("drain %s told the worker %q, want %q", body, told, want)
		}
	}
	m, _ := f.send(t, wire.ControlSubject(workerID, "snapshot"), nil, []byte(nil))
	var got wire.Snapshot
	if err := wire.Decode(m.Data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff((&worker{}).Snapshot(), got); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	for _, n := range []wire.WorkersNotice{{Heartbeat: true}, {Announce: true}} {
		body, _ := wire.Encode(n)
		if err := f.nc.Publish(wire.SubjectWorkers, body); err != nil {
			t.Fatal(err)
		}
	}
	if told := []string{<-f.told, <-f.told}; !slices.Equal(told, []string{"beat", "announce"}) {
		t.Errorf("notices told the worker %v", told)
	}
}

func TestMicroServiceListsTheWorker(t *testing.T) {
	f := start(t, nil)
	f.registry.do = fails(fault.SessionGone.New(""))
	f.send(t, wire.WorkerSubject(workerID, wire.OpGet), nil, get())
	<-drained(f.Server)

	m, err := f.nc.Request("$SRV.INFO."+wire.ServiceName, nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(m.Data, &info); err != nil {
		t.Fatal(err)
	}
	if info.Metadata["worker"] != string(workerID) || info.Version != wire.ServiceVersion {
		t.Errorf("info: %s", m.Data)
	}
	var subjects []string
	for _, e := range info.Endpoints {
		subjects = append(subjects, e.Subject)
		if e.QueueGroup != "" {
			t.Errorf("%s is in queue group %q", e.Subject, e.QueueGroup)
		}
	}
	for _, op := range wire.Operations {
		if !slices.Contains(subjects, wire.WorkerSubject(workerID, op)) {
			t.Errorf("info lacks %s", op)
		}
	}
	m, err = f.nc.Request("$SRV.STATS."+wire.ServiceName, nil, patience)
	if err != nil {
		t.Fatal(err)
	}
	var stats micro.Stats
	if err := json.Unmarshal(m.Data, &stats); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(stats.Endpoints, func(e *micro.EndpointStats) bool { return e.Name == string(wire.OpGet) })
	var data endpointReport
	if err := json.Unmarshal(stats.Endpoints[i].Data, &data); err != nil {
		t.Fatal(err)
	}
	if data.Served != 1 || data.Faults != 1 || data.AverageMS <= 0 {
		t.Errorf("statistics of get: %+v", data)
	}
}
