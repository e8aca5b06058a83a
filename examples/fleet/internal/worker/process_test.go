// Whether a process is gone.

package worker

import (
	"os/exec"
	"testing"
)

// What a process of another machine, boot or container is doing cannot be seen from here: in doubt it lives.
func TestWhetherAProcessIsGone(t *testing.T) {
	here := thisProcess()
	if here.Boot == "" || here.Namespace == "" || here.Start == "" {
		t.Skip("the system does not say which processes there are")
	}
	if here.isGone() {
		t.Error("this process is gone")
	}
	command := exec.Command("cat")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	other := here
	other.ID, other.Start = command.Process.Pid, started(command.Process.Pid)
	if other.Start == "" || other.isGone() {
		t.Errorf("a process that runs is gone: %+v", other)
	}
	reused := other
	reused.Start += "0"
	if !reused.isGone() {
		t.Error("another process has its number, and it is not gone")
	}
	input.Close()
	command.Process.Wait()
	if !other.isGone() {
		t.Error("a process that has ended is not gone")
	}
	for name, change := range map[string]func(*Process){
		"boot":      func(p *Process) { p.Boot = "another" },
		"namespace": func(p *Process) { p.Namespace = "pid:[1]" },
		"nothing":   func(p *Process) { *p = Process{} },
		"no start":  func(p *Process) { p.Start = "" },
	} {
		doubtful := other
		change(&doubtful)
		if doubtful.isGone() {
			t.Errorf("%s: it is said to be gone", name)
		}
	}
}
