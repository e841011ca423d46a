"""What tests of the demo page ask a browser for, in JavaScript."""

FACES = "document.querySelectorAll('#faces > li').length"
STATUS = "document.getElementById('status').textContent"
PROBLEM = "document.querySelector('#problem:not([hidden])')?.innerText"
CLICK = "document.querySelector('{}').click()"
