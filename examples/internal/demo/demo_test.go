package demo_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/zep-go/zep/examples/internal/demo"
	"github.com/zep-go/zep/zeptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestClient_ServerInProcess(t *testing.T) {
	t.Setenv("ZEP_API_URL", "")
	client, stop, err := demo.Client()
	require.NoError(t, err)
	defer stop()
	_, err = client.Health(context.Background())
	require.NoError(t, err)
}

func TestClient_ServerInEnvironment(t *testing.T) {
	server := zeptest.NewServer(zeptest.WithAPIKey("secret"))
	defer server.Close()
	t.Setenv("ZEP_API_URL", server.URL)
	t.Setenv("ZEP_API_KEY", "secret")
	client, stop, err := demo.Client()
	require.NoError(t, err)
	defer stop()
	users, err := client.User.List(context.Background(), nil)
	require.NoError(t, err)
	assert.Empty(t, users)
	assert.Equal(t, 1, server.Requests())

	t.Setenv("ZEP_API_URL", "not a URL")
	_, _, err = demo.Client()
	assert.ErrorContains(t, err, "ZEP_API_URL")
}
