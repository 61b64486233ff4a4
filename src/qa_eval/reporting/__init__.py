"""The report: one HTML file that shows what runs came to, for a reader without tools, network or colour vision.

page         observations in, the page's content and the file out
charts       plots as inline SVG, in percent of the width, so that text keeps its size on a phone
templates    the page and its style; all that is not ours is escaped by the template
"""
