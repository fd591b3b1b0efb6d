"""Lays out Jsonnet packages in vendor/, with the files, layout and sums of jsonnet-bundler (jb), but without Go."""
