//! Pages: what people see. (being built)
