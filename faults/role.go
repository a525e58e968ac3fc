package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// roleVar makes this program play a part: "backend ADDR ID LEDGER IDLE", "program ADDR BACKEND..."
// or "warden DIR". A process in a role says "ready" when it is, answers each line that it reads by
// one line of JSON, and ends with its standard input, so that none outlives the program, however
// that ends.
const roleVar = "LB_FAULTS_ROLE"

// playRole is the other end of a process that was started in a role.
func playRole(role string, in io.Reader, out io.Writer) error {
	words := strings.Fields(role)
	switch {
	case words[0] == "backend" && len(words) == 5:
		return playBackend(words[1:], in, out)
	case words[0] == "program" && len(words) > 1:
		return playProgram(words[1], words[2:], in, out)
	case words[0] == "warden" && len(words) == 2:
		return playWarden(words[1], in, out)
	}
	return fmt.Errorf("unknown role %q", role)
}

// playWarden kills what is left when the program has ended, of the processes that it was told of
// by +PID and not by -PID: also those that are suspended, and foreign ones. Then it removes dir.
func playWarden(dir string, in io.Reader, out io.Writer) error {
	fmt.Fprintln(out, "ready")
	alive := map[int]bool{}
	for asked := bufio.NewScanner(in); asked.Scan(); {
		pid, err := strconv.Atoi(asked.Text()) // "+12" is 12, "-12" is -12
		if err != nil {
			return err
		}
		if pid > 0 {
			alive[pid] = true
		} else {
			delete(alive, -pid)
		}
	}
	for pid := range alive {
		killGroup(pid)
	}
	return os.RemoveAll(dir)
}
