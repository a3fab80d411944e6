"""Everything behind the journal: dispatcher and native socket."""
