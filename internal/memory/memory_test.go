package memory

import (
	"testing"
	"testing/fstest"
)

const meminfo = "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n"

func TestWhatAProcessMayUse(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing is known": {nil, 0},
		"no control group": {map[string]string{"proc/meminfo": meminfo}, 8000000 << 10},
		"a unit of systemd": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/holdfast.service\n",
			"sys/fs/cgroup/system.slice/holdfast.service/memory.max":     "1073741824\n",
			"sys/fs/cgroup/system.slice/holdfast.service/memory.current": "314572800\n",
			"sys/fs/cgroup/system.slice/holdfast.service/memory.stat":    "anon 1\ninactive_file 104857600\n",
		}, (1024 - 300 + 100) * mib},
		"the slice around it is tighter": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/system.slice/holdfast.service\n",
			"sys/fs/cgroup/system.slice/holdfast.service/memory.max": "max\n",
			"sys/fs/cgroup/system.slice/memory.max":                  "536870912\n",
			"sys/fs/cgroup/system.slice/memory.current":              "104857600\n",
		}, 412 * mib},
		"a container that sees its own group as the root": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/../../docker/1234\n",
			"sys/fs/cgroup/memory.max": "268435456\n", "sys/fs/cgroup/memory.current": "0\n",
		}, 256 * mib},
		"cgroup v1": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/box\n0::/\n",
			"sys/fs/cgroup/memory/box/memory.limit_in_bytes": "134217728\n",
			"sys/fs/cgroup/memory/box/memory.usage_in_bytes": "234217728\n",
		}, 1},
		"cgroup v1 without a limit": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/box\n",
			"sys/fs/cgroup/memory/box/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/box/memory.usage_in_bytes": "1\n",
		}, 8000000 << 10},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := ofProcess(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// The machine that this runs on says something, and no group gives more than it has.
func TestThisMachine(t *testing.T) {
	t.Parallel()
	if machine, process := OfMachine(), OfProcess(); machine <= 0 || process <= 0 || process > machine+machine/4 {
		t.Errorf("the machine has %d free, this process %d", machine, process)
	}
}
