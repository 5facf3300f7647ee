package setup

import "holdfast/identities"

// Valid says what is wrong with a configuration beyond its form: connection
// strings that cannot be honoured, recipients that nothing can be sealed to.
// It connects to nothing.
func (p *Parts) Valid() error {
	if _, err := p.given(); err != nil {
		return err
	}
	if p.Config.Identities == nil {
		return nil
	}
	_, err := identities.ParseRecipients(p.Config.Identities.Recipients)
	return err
}
