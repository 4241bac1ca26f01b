package main

import (
	"net"
	"os"
	"os/exec"
)

// isolationReport says which walls stand around this process.
type isolationReport struct {
	Landlock   bool     `json:"landlock"`
	Seccomp    bool     `json:"seccomp"`
	NoNewPrivs bool     `json:"noNewPrivs"`
	Rlimits    bool     `json:"rlimits"`
	Notes      []string `json:"notes"`
}

func (r *isolationReport) note(what string, err error) bool {
	if err != nil {
		r.Notes = append(r.Notes, what+": "+err.Error())
	}
	return err == nil
}

// probe tries what the walls must refuse and answers with the errors, so that the daemon (and
// a test) can see them stand. An empty string means that the attempt succeeded.
func probe() map[string]string {
	attempts := map[string]func() error{
		"open": func() error {
			file, err := os.Open("/etc/passwd")
			if err == nil {
				_ = file.Close()
			}
			return err
		},
		"create": func() error { return os.WriteFile("/tmp/driftd-worker-probe", nil, 0o600) },
		"readdir": func() error {
			_, err := os.ReadDir("/")
			return err
		},
		"listen": func() error {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err == nil {
				_ = listener.Close()
			}
			return err
		},
		"dial": func() error {
			connection, err := net.Dial("udp", "127.0.0.1:53")
			if err == nil {
				_ = connection.Close()
			}
			return err
		},
		"exec": func() error { return exec.Command("/bin/true").Run() },
	}
	answers := map[string]string{}
	for name, attempt := range attempts {
		answers[name] = ""
		if err := attempt(); err != nil {
			answers[name] = shorten(err.Error())
		}
	}
	return answers
}
