"""Telling people and systems about changes of state; everything comes from the outbox."""
