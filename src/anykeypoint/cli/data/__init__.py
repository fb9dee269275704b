"""The verbs of `anykeypoint data`, which look after labelled data: a file each."""
