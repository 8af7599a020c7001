package deploytest

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const natsFile = repository + "/deploy/nats/nats.conf"

// natsOptions is the file as nats-server reads it; an unknown key is an error.
func natsOptions(t *testing.T) *server.Options {
	t.Helper()
	options, err := server.ProcessConfigFile(natsFile)
	if err != nil {
		t.Fatal(err)
	}
	return options
}

func TestNATSConfiguration(t *testing.T) {
	t.Parallel()
	o := natsOptions(t)
	if !o.JetStream || !o.SyncAlways || o.JetStreamMaxStore == 0 || o.JetStreamMaxMemory == 0 {
		t.Errorf("JetStream %v, sync always %v, bounds %d and %d", o.JetStream, o.SyncAlways, o.JetStreamMaxStore, o.JetStreamMaxMemory)
	}
	if o.HTTPHost != "127.0.0.1" {
		t.Errorf("monitoring listens on %q", o.HTTPHost)
	}
	if o.MaxPayload != 1<<20 || o.MaxPending != 64<<20 || o.WriteDeadline != 5*time.Second {
		t.Errorf("payload %d, pending %d, write deadline %v", o.MaxPayload, o.MaxPending, o.WriteDeadline)
	}
}

// A server starts with the file, elsewhere, and makes a stream as the room
// service does.
func TestNATSStarts(t *testing.T) {
	t.Parallel()
	o := natsOptions(t)
	o.Host, o.Port, o.HTTPPort = "127.0.0.1", server.RANDOM_PORT, server.RANDOM_PORT
	o.StoreDir, o.NoLog, o.NoSigs = t.TempDir(), true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start() // ends with Shutdown
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("not ready")
	}
	nc, err := nats.Connect(s.ClientURL(), nats.Timeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "LOG_0", Subjects: []string{"chat.v1.log.0.>"}, Storage: jetstream.FileStorage, AllowDirect: true,
	}); err != nil {
		t.Error(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{
		Bucket: "chat_own", Storage: jetstream.MemoryStorage, LimitMarkerTTL: time.Second,
	}); err != nil {
		t.Error(err)
	}
}
