# shellcheck shell=bash disable=SC2154
# Debian 13 with its own Node, for what is installed there by its package manager. Sourced by `up`.

prepare_trixie() { make_debian "$cache/trixie" trixie ca-certificates,nodejs; }

export_trixie() { export_variable ZFERRY_TEST_TRIXIE "$cache/trixie/root"; }
