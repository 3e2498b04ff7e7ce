//! What tests of this room share. Never part of the program.
