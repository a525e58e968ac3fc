package fleet

import "errors"

func (cfg Config) redisFaults() []error {
	if cfg.URL == "" && cfg.Client == nil {
		return []error{errors.New("URL is empty")}
	}
	return nil
}

func openRedis(Config) (bus, error) { return nil, errors.New("fleet: not yet") }
