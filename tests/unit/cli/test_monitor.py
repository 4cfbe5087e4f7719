"""How `lxc monitor` shows an event."""

from wardian.cli import monitor

OPERATION = {
    "type": "operation",
    "timestamp": "2016-03-20T02:11:07.123456Z",
    "metadata": {"id": "0a-1b", "description": "Creating container", "status": "Failure", "err": "no space"},
}
LOGGING = {
    "type": "logging",
    "timestamp": "2016-03-20T02:11:07Z",
    "metadata": {"message": "slow", "level": "warning", "context": {"logger": "x"}},
}


def test_an_event_is_a_document_with_its_keys_in_order() -> None:
    assert monitor.shown(OPERATION, "yaml") == (
        "metadata:\n  description: Creating container\n  err: no space\n  id: 0a-1b\n  status: Failure\n"
        'timestamp: "2016-03-20T02:11:07.123456Z"\ntype: operation\n\n'
    )
    assert monitor.shown(LOGGING, "json").startswith('{"type": "logging"')


def test_an_event_is_a_line() -> None:
    assert monitor.shown(OPERATION, "pretty") == (
        "2016-03-20 02:11:07 operation  ID: 0a-1b, Creating container: Failure no space\n"
    )
    assert monitor.shown(LOGGING, "pretty") == "2016-03-20 02:11:07 logging    WARNING  slow logger=x\n"
