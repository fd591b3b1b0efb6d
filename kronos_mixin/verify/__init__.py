"""Whether a running stack really watches the service: `kronos-mixin verify`."""
