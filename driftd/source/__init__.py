"""Reads Git repositories: revisions, trees and commits, without a checkout."""
