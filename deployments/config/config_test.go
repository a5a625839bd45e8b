package config_test

import (
	"errors"
	"testing"

	"switchboard/controlplane"
	"switchboard/mediaworker"
	"switchboard/shared/config"
	"switchboard/shared/obs"
)

// The settings of the two binaries, as their commands declare them.
type (
	controlPlane struct {
		controlplane.Config `yaml:",inline"`
		Log                 obs.LogConfig `yaml:"log"`
	}
	mediaWorker struct {
		mediaworker.Config `yaml:",inline"`
		Log                obs.LogConfig `yaml:"log"`
	}
)

func (c *controlPlane) Validate() error { return errors.Join(c.Config.Validate(), c.Log.Validate()) }
func (c *mediaWorker) Validate() error  { return errors.Join(c.Config.Validate(), c.Log.Validate()) }

func TestSamplesLoad(t *testing.T) {
	control := &controlPlane{Config: controlplane.Default()}
	if err := config.Parse("controlplane", "", control, []string{"--config", "controlplane.yaml"}); err != nil {
		t.Fatal(err)
	}
	if len(control.Apps) != 1 || control.Apps[0].ID != "demo" || control.NATS.URL == "" || len(control.Redis.Addresses) != 1 {
		t.Errorf("control plane: %+v", control)
	}
	worker := &mediaWorker{Config: mediaworker.Default()}
	if err := config.Parse("mediaworker", "", worker, []string{"--config", "mediaworker.yaml"}); err != nil {
		t.Fatal(err)
	}
	if len(worker.UDP) != 1 || worker.Label == "" || worker.NATS.URL == "" {
		t.Errorf("media worker: %+v", worker)
	}
}
