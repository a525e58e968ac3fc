//go:build !unix

package transport

// bind leaves c to Conn's own Read and Write.
func (c *conn) bind() {}
