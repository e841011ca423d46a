// Pages that are opened from a disk may not load modules: this says what to do instead.
if (location.protocol === "file:") document.getElementById("from-disk").hidden = false;
