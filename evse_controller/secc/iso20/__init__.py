"""ISO 15118-20: state tables as data, small handlers, paired refusals, timers as data."""
