"""Programs beside the daemon and the client, one module each (spec/cli.md section 10)."""
