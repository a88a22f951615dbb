"""For every defence the patch that removes it and the test that then turns red, as data (*.toml beside this file)."""
