"""/capture/: the clinician's phone app. One page of templates; small modules in static/skincare/capture fill it in."""
