// What the commands are given: options, each with an environment variable that is its default.

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/libiotda/libiotda/examples/fleet/internal/tokens"
)

// options are the options of a command.
type options struct{ *flag.FlagSet }

func newOptions(command string) options {
	return options{flag.NewFlagSet(command, flag.ContinueOnError)}
}

// text is an option whose default is in the environment: FLEET_NATS for nats.
func (o options) text(name, fallback, help string) *string {
	variable := "FLEET_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if value, set := os.LookupEnv(variable); set {
		fallback = value
	}
	return o.String(name, fallback, help+" [env: "+variable+"]")
}

// parse reads the options; there are no other arguments.
func (o options) parse(arguments []string) error {
	if err := o.Parse(arguments); err != nil {
		return err
	}
	if o.NArg() > 0 {
		return fmt.Errorf("leave %q out: fleet %s has options alone", o.Arg(0), o.Name())
	}
	return nil
}

// broker is how NATS is reached.
type brokerOptions struct{ url, credentials, ca *string }

func (o options) broker() brokerOptions {
	return brokerOptions{
		o.text("nats", nats.DefaultURL, "the NATS servers, with commas between"),
		o.text("nats-credentials", "", "a file with the user's credentials for NATS"),
		o.text("nats-ca", "", "a file with the certificate authority of the NATS servers"),
	}
}

func (b brokerOptions) connect(more ...nats.Option) (*nats.Conn, error) {
	given := append([]nats.Option{nats.Timeout(5 * time.Second)}, more...)
	if *b.credentials != "" {
		given = append(given, nats.UserCredentials(*b.credentials))
	}
	if *b.ca != "" {
		given = append(given, nats.RootCAs(*b.ca))
	}
	connection, err := nats.Connect(*b.url, given...)
	if err != nil {
		// Without the addresses, which may hold a password.
		return nil, fmt.Errorf("check -nats, -nats-credentials and -nats-ca: no connection to NATS: %w", err)
	}
	return connection, nil
}

// open connects and opens JetStream.
func (b brokerOptions) open() (jetstream.JetStream, func(), error) {
	connection, err := b.connect()
	if err != nil {
		return nil, nil, err
	}
	stream, err := jetstream.New(connection, jetstream.WithDefaultTimeout(10*time.Second))
	if err != nil {
		connection.Close()
		return nil, nil, err
	}
	return stream, connection.Close, nil
}

// sealer is of the key in a file.
func sealer(path string) (*tokens.Sealer, error) {
	if path == "" {
		return nil, errors.New("name a file with -key-file: `openssl rand -base64 32` makes a key")
	}
	key, err := tokens.ReadKey(path)
	if err != nil {
		return nil, err
	}
	return tokens.NewSealer(key)
}

// limited is a context for a command that ends soon.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 60*time.Second)
}
