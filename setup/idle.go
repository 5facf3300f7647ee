package setup

import (
	"runtime/debug"

	"holdfast/internal/memory"
	"holdfast/repository"
)

// giveBack returns memory to the system that is not used any more: what the key of a
// repository takes, for one. A service that is idle for hours does that after each task.
func giveBack() {
	repository.FreeBuffers()
	debug.FreeOSMemory()
	memory.ReleaseProgram()
}
