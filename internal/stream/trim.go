package stream

// Processed tells the stream that frames up to sequence are done with for
// good: they may be trimmed, by age or to make room. It never blocks; an older
// sequence than an earlier one changes nothing.
func (s *Streams) Processed(name Name, sequence uint64) {}
