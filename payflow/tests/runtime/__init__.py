"""Tests of what starts PayFlow: real servers, real processes, real kills."""
