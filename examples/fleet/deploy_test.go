// What deploy holds, held against the program and a worker: files for other programs, which nobody compiles.

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"go.yaml.in/yaml/v3"

	"github.com/libiotda/libiotda/examples/fleet/internal/natstest"
	"github.com/libiotda/libiotda/examples/fleet/internal/trial"
)

// helpOf is what the program says of a command that it is given, with `-h` at the end: an option before it that the program
// does not know is named there.
func helpOf(t *testing.T, command ...string) string {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	var said bytes.Buffer
	fleet := exec.Command(program, append(slices.Clone(command), "-h")...)
	fleet.Env, fleet.Stderr = append(os.Environ(), asFleet+"=1"), &said
	fleet.Run()
	if !strings.HasPrefix(said.String(), "Usage of "+command[0]) {
		t.Errorf("fleet %v says: %s", command, said.String())
	}
	return said.String()
}

// areRead checks that a command reads these environment variables.
func areRead(t *testing.T, help string, variables []string) {
	t.Helper()
	for _, variable := range variables {
		if !strings.Contains(help, "[env: "+variable+"]") {
			t.Errorf("no option is set by %s: %s", variable, help)
		}
	}
}

type composeFile struct {
	Services map[string]struct {
		Image, Hostname string
		Command         []string
		Environment     map[string]string
		Volumes         []string
		Networks        []string
		DependsOn       []string `yaml:"depends_on"`
	}
	Networks, Volumes map[string]any
}

func TestTheComposeFileFitsTheProgram(t *testing.T) {
	text, err := os.ReadFile("deploy/compose.yaml")
	must(t, err)
	var file composeFile
	must(t, yaml.Unmarshal(text, &file))
	var servers, reached []string
	workers := map[string]bool{}
	for name, service := range file.Services {
		for _, other := range service.DependsOn {
			if _, known := file.Services[other]; !known {
				t.Errorf("%s depends on %s, which is none of the services", name, other)
			}
		}
		for _, network := range service.Networks {
			if _, known := file.Networks[network]; !known {
				t.Errorf("%s is in the network %s, which is not declared", name, network)
			}
		}
		mounted := map[string]string{} // by the path in the container
		for _, volume := range service.Volumes {
			parts := strings.Split(volume, ":")
			mounted[parts[1]] = parts[0]
			if _, known := file.Volumes[parts[0]]; !known && !strings.HasPrefix(parts[0], "./") {
				t.Errorf("%s has the volume %s, which is not declared", name, parts[0])
			}
		}
		if service.Image == "fleet" {
			areRead(t, helpOf(t, service.Command...), variablesOf(t, service.Command[0], service.Environment))
			for _, value := range []string{service.Environment["FLEET_SECRETS"], service.Environment["FLEET_KEY_FILE"]} {
				if path := strings.TrimPrefix(value, "file:"); mounted[filepath.Dir(path)] == "" {
					t.Errorf("%s reads %s, where nothing is mounted", name, path)
				}
			}
			if given := service.Environment["FLEET_NAME"]; service.Command[0] == "serve" {
				if given == "" || workers[given] {
					t.Errorf("%s has no name of its own: %q", name, given)
				}
				workers[given] = true
			}
			reached = hostsOf(t, strings.Split(service.Environment["FLEET_NATS"], ","))
			continue
		}
		servers = append(servers, name)
		options := natsOptions(t, service.Command, mounted)
		if options.ServerName != name || service.Hostname != name {
			t.Errorf("%s is called %s, at %s", name, options.ServerName, service.Hostname)
		}
		if _, kept := mounted[options.StoreDir]; !kept {
			t.Errorf("%s keeps its files at %s, where nothing is mounted", name, options.StoreDir)
		}
	}
	slices.Sort(servers)
	if len(workers) < 2 || len(servers) != 3 || !slices.Equal(servers, reached) {
		t.Errorf("workers %v reach %v of the servers %v", workers, reached, servers)
	}
}

// variablesOf are the names of those variables that a command should read. The environment is shared with `serve`, which
// reads all; `setup` needs to reach NATS alone.
func variablesOf(t *testing.T, command string, environment map[string]string) (names []string) {
	t.Helper()
	if command != "serve" {
		return []string{"FLEET_NATS"}
	}
	for name := range environment {
		names = append(names, name)
	}
	return names
}

// natsOptions is how a NATS server understands its arguments and its file.
func natsOptions(t *testing.T, command []string, mounted map[string]string) *server.Options {
	t.Helper()
	t.Setenv("NATS_PASSWORD", "secret")
	arguments := slices.Clone(command)
	for i, argument := range arguments {
		if source := mounted[argument]; source != "" {
			arguments[i] = filepath.Join("deploy", source)
		}
	}
	options, err := server.ConfigureOptions(flag.NewFlagSet("nats-server", flag.ContinueOnError), arguments, nil, nil, nil)
	must(t, err)
	var routes []string
	for _, route := range options.Routes {
		routes = append(routes, route.String())
	}
	if hosts := hostsOf(t, routes); !options.JetStream || options.MaxPayload != 2<<20 || len(hosts) != 3 ||
		options.Password != "secret" {
		t.Errorf("%+v", options)
	}
	return options
}

func hostsOf(t *testing.T, addresses []string) (hosts []string) {
	t.Helper()
	for _, address := range addresses {
		// A variable of compose's is none of a URL's characters.
		parsed, err := url.Parse(strings.ReplaceAll(address, "${NATS_PASSWORD}", "secret"))
		must(t, err)
		hosts = append(hosts, parsed.Hostname())
	}
	slices.Sort(hosts)
	return hosts
}

func TestTheUnitFitsTheProgram(t *testing.T) {
	unit, err := os.ReadFile("deploy/fleet.service")
	must(t, err)
	command := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/fleet (.*)$`).FindSubmatch(unit)
	if command == nil {
		t.Fatal("it starts nothing")
	}
	var variables []string
	for _, set := range regexp.MustCompile(`\b((?:FLEET|IOTDA)_[A-Z_]+)=`).FindAllSubmatch(unit, -1) {
		variables = append(variables, string(set[1]))
	}
	if len(variables) < 5 {
		t.Errorf("it sets %v", variables)
	}
	areRead(t, helpOf(t, strings.Fields(string(command[1]))...), variables)
}

// Each metric of the dashboard and the runbook is one that a worker has, with the labels that are asked for; rates are of
// what only grows.
func TestTheDashboardShowsWhatWorkersCount(t *testing.T) {
	f := field(t, trial.Settings{Devices: 2})
	worker, err := f.StartWorker("a")
	must(t, err)
	_, err = f.Shared(t.Context(), "a")
	must(t, err)
	// A label is there when something was counted: a request that fails, and a partition that another worker gets.
	must(t, f.Platform.Ask("POST", "/faults", `{"kind":"answer","status":503,"times":1,"on":"properties"}`, nil))
	must(t, f.Publish(t.Context(), trial.Traffic{Reports: 4})())
	must(t, f.Drained(t.Context(), time.Minute))
	_, err = f.StartWorker("b")
	must(t, err)
	_, err = f.Shared(t.Context(), "a", "b")
	must(t, err)
	var series map[string]float64
	natstest.Until(t, "the worker answers", func() bool { series = worker.Metrics(); return series != nil })
	has := func(name, label string) bool {
		for each := range series {
			if each == name && label == "" || label != "" && strings.HasPrefix(each, name+"{"+label+"=") {
				return true
			}
		}
		return false
	}

	name := regexp.MustCompile(`(rate|increase)?\(?(fleet_[a-z_]+)`)
	by := regexp.MustCompile(`by \(([a-z_]+)\)`)
	checked := 0
	check := func(expression string, isQuery bool) {
		for _, found := range name.FindAllStringSubmatch(expression, -1) {
			checked++
			label := ""
			if grouped := by.FindStringSubmatch(expression); grouped != nil && grouped[1] != "instance" {
				label = grouped[1]
			} else if strings.Contains(expression, found[2]+"{kind=") {
				label = "kind"
			}
			if !has(found[2], label) {
				t.Errorf("%s: no worker has %s with the label %q: %v", expression, found[2], label, series)
			}
			grows := strings.HasSuffix(found[2], "_total") || strings.HasSuffix(found[2], "_bucket")
			if isQuery && grows != (found[1] != "") {
				t.Errorf("%s: a rate is of what only grows, and the other way round", expression)
			}
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile("deploy/grafana.json")
	must(t, err)
	must(t, json.Unmarshal(text, &dashboard))
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("%s shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			check(target.Expr, true)
		}
	}
	if checked < 16 {
		t.Errorf("the dashboard names %d metrics", checked)
	}
	runbook, err := os.ReadFile("RUNBOOK.md")
	must(t, err)
	for _, quoted := range regexp.MustCompile("`([^`\n]*fleet_[^`\n]*)`").FindAllStringSubmatch(string(runbook), -1) {
		check(quoted[1], false)
	}
}
