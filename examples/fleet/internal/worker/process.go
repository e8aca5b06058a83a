// Which process a worker is: one that is started again need not wait for the heartbeat of a process that is gone to lapse.

package worker

import (
	"os"
	"strconv"
	"strings"
	"sync"
)

// Process names a process of this machine, beyond its number, which another one can have later.
type Process struct {
	// Boot is the machine's boot, Namespace that of the process numbers (a container has its own).
	Boot      string `json:"boot,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	ID        int    `json:"id,omitempty"`
	// Start is when it was started, in clock ticks since the boot.
	Start string `json:"start,omitempty"`
}

// thisProcess is this process; its fields are empty where the system does not say.
var thisProcess = sync.OnceValue(func() Process {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	namespace, _ := os.Readlink("/proc/self/ns/pid")
	return Process{Boot: strings.TrimSpace(string(boot)), Namespace: namespace, ID: os.Getpid(), Start: started(os.Getpid())}
})

// started is field 22 of /proc/PID/stat; "" if there is no such process, or it has ended.
func started(id int) string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(id) + "/stat")
	if err != nil {
		return ""
	}
	// The name before it can hold spaces and parentheses.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}

// isGone reports whether the process is known to be gone: its number can be looked up from here, and is free or another
// process's. In doubt it is not.
func (p Process) isGone() bool {
	here := thisProcess()
	if p.Boot == "" || p.Namespace == "" || p.Start == "" || p.Boot != here.Boot || p.Namespace != here.Namespace {
		return false
	}
	return started(p.ID) != p.Start
}
