"""How large results will be, before they are made: probes of recordings, listings of archives."""
