"""The exported SavedModel: `exporting` writes it, `graph` is what it computes, `manifest` what it records about itself."""
